// A SharedWorker: one event stream for all tabs. Browsers allow six connections to a host, so a stream a tab
// would leave the seventh tab waiting for ever.
import { follow } from "./follow.js";

const ports = new Set();
let last = { kind: "connection", state: "connecting" };

const send = (message) => {
  if (message.kind === "connection") last = message;
  for (const port of ports) port.postMessage(message);
};

onconnect = (event) => {
  const port = event.ports[0];
  port.onmessage = ({ data }) => { if (data === "leave") ports.delete(port); };
  ports.add(port);
  port.postMessage(last);
};

follow(send);
