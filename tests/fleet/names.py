"""Names of variables that the programs read."""

from nas_service.settings import Settings

# Beside the settings: where commands and workers find their server, and what the examples ask for.
ELSEWHERE = {"NAS_SERVER", "NAS_TOKEN", "NAS_TOKEN_FILE"}
KNOWN_VARIABLES = ELSEWHERE | {f"NAS_{name}".upper() for name in Settings.model_fields}
