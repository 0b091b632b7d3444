"""The Python client: `from nas_service.client import Client`.

`calls` has every request once, as data; `plans`, `study_plans` and `trial_plans` what takes several.
`Client`, `AsyncClient` and `RemoteService` (for commands) make methods of them, which block or are awaited.
"""

from nas_service.client.awaited import AsyncClient, AsyncStudy, AsyncTrial
from nas_service.client.blocking import Client, Study, Trial
from nas_service.client.remote import RemoteService

__all__ = ["AsyncClient", "AsyncStudy", "AsyncTrial", "Client", "RemoteService", "Study", "Trial"]
