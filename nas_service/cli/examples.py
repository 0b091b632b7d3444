"""What people type: an example or two of each command, shown by its help and in docs/cli.md."""

EXAMPLES: dict[str, tuple[str, ...]] = {
    "up": ("nas up", "nas up --workers 4 --port 9000"),
    "demo": ("nas demo",),
    "search": (
        "nas search --dataset mnist.npz --max-params 50000 --max-latency-ms 2 --trials 30 --epochs 3",
        "nas search spec.yaml --dry-run",
    ),
    "describe": ("nas describe network.yaml", "nas describe network.yaml --svg network.svg"),
    "predict": ("nas predict digits picture.png",),
    "serve-model": ("nas serve-model digits",),
    "benchmark": ("nas benchmark digits",),
    "audit": ("nas audit --last 20",),
    "doctor": ("nas doctor", "nas doctor --server http://host:8000"),
    "study list": ("nas study list", "nas study list -o csv"),
    "study show": ("nas study show 3", "nas study show digits-demo --json"),
    "study front": ("nas study front 3", "nas study front 3 -o csv > front.csv"),
    "study watch": ("nas study watch 3",),
    "study clone": ("nas study clone 3 --name smaller", "nas study clone 3 changes.yaml"),
    "study pause": ("nas study pause 3",),
    "study resume": ("nas study resume 3",),
    "study drain": ("nas study drain 3",),
    "study cancel": ("nas study cancel 3",),
    "study widen": ("nas study widen 3 space.yaml",),
    "study confirm": ("nas study confirm 3",),
    "study report": ("nas study report 3",),
    "study bundle": ("nas study bundle 3",),
    "study data": ("nas study data 3",),
    "study extend": ("nas study extend 3 --trials 300",),
    "trial show": ("nas trial show 3 17",),
    "trial enqueue": ("nas trial enqueue 3 network.yaml",),
    "trial export": ("nas trial export 3 17 -o digits",),
    "trial retrain": ("nas trial retrain 3 17 --epochs 60",),
    "job list": ("nas job list",),
    "job show": ("nas job show 5",),
    "job cancel": ("nas job cancel 5",),
    "job fetch": ("nas job fetch 5 -o files",),
    "family list": ("nas family list",),
    "family show": ("nas family show pyramidal > space.yaml",),
    "data add": ("nas data add mnist.npz", "nas data add pictures/ --name pets"),
    "data list": ("nas data list",),
    "data delete": ("nas data delete pets",),
    "worker start": ("nas worker start", "nas worker start --server http://host:8000 --token-file token"),
    "worker list": ("nas worker list",),
    "worker scale": ("nas worker scale 4",),
    "worker doctor": ("nas worker doctor",),
    "device list": ("nas device list",),
    "device bench": ("nas device bench network.yaml", "nas device bench --family two_conv"),
    "token create": ("nas token create --role viewer --name ann",),
    "token list": ("nas token list",),
    "token revoke": ("nas token revoke ann",),
    "db upgrade": ("nas db upgrade",),
    "db backup": ("nas db backup nas-backup",),
    "db restore": ("nas db restore nas-backup",),
    "db worker-role": ("nas db worker-role trainers",),
    "artifacts collect": ("nas artifacts collect",),
    "artifacts verify": ("nas artifacts verify",),
}


def epilog_of(name: str) -> str | None:
    """Return what a command's help ends with; `name` without the leading nas."""
    examples = EXAMPLES.get(name)
    if examples is None:
        return None
    title = "Examples:" if len(examples) > 1 else "Example:"
    # Without the mark lines would be filled into one.
    return "\n".join(("\b", title, *(f"  {line}" for line in examples)))
