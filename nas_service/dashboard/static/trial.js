// The trial page: its learning curve grows while it trains.
import { startPlots } from "./plots.js";

startPlots();
