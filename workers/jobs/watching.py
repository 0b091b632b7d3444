"""Training within a job, told epoch by epoch."""

from nas_service.trials import EpochReport, Instruction
from workers.jobs.tools import Tools


def watched(tools: Tools, epochs: int, report: EpochReport) -> Instruction:
    """Tell how far training is; raises `Interrupted` where the job is not to go on."""
    loss = "" if report.train_loss is None else f", training loss {report.train_loss:.4g}"
    tools.progress(report.epoch / epochs, f"epoch {report.epoch} of {epochs}{loss}")
    return "continue"
