// The event stream, coalesced: which studies changed, and whether the server answers.
const KINDS = [
  "message", "study.created", "study.state", "study.space", "study.changed", "study.deleted",
  "trial.enqueued", "trial.started", "trial.epoch", "trial.finished", "job.created", "job.changed",
  "worker.joined", "worker.left", "worker.lost", "dataset.added",
];
const COALESCE_MS = 50;
const RETRY_MS = 3000;

// Calls `send` with {kind: "connection", state} and {kind: "change", studies: [...], kinds: [...]}.
export function follow(send) {
  let studies = new Set(), kinds = new Set(), timer = null, wasAway = false;

  const flush = () => {
    timer = null;
    send({ kind: "change", studies: [...studies], kinds: [...kinds] });
    studies = new Set();
    kinds = new Set();
  };

  const note = (event) => {
    let entry;
    try { entry = JSON.parse(event.data); } catch { return; }
    if (entry.study_id != null) studies.add(entry.study_id);
    kinds.add(entry.kind ?? event.type);
    timer ??= setTimeout(flush, COALESCE_MS);
  };

  const open = () => {
    const source = new EventSource("/api/v1/events/stream");
    for (const kind of KINDS) source.addEventListener(kind, note);
    source.onopen = () => {
      send({ kind: "connection", state: "live", isBack: wasAway });
      wasAway = false;
    };
    source.onerror = () => {
      wasAway = true;
      send({ kind: "connection", state: "away" });
      // A refused stream is closed for good by the browser; a lost one it reopens itself.
      if (source.readyState === EventSource.CLOSED) setTimeout(open, RETRY_MS);
    };
  };
  open();
}
