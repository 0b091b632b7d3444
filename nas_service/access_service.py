"""The service's part on access: tokens, and who did what."""

from nas_service.access import AuditEntry, NewToken, TokenCreate, TokenView
from nas_service.paging import checked_page_size, decode_token, encode_token
from nas_service.store import audit, tokens
from nas_service.transactions import Transactions
from nas_service.views import Page


class AccessService(Transactions):
    """The methods of `Service` on tokens and the audit log."""

    def tokens(self) -> list[TokenView]:
        """List all tokens ever made, the newest first."""
        with self._reading() as connection:
            return tokens.read_tokens(connection)

    def create_token(self, wanted: TokenCreate) -> NewToken:
        """Make a token; what is returned is the only place that ever shows it."""
        with self._writing() as connection:
            return tokens.insert_token(connection, wanted)

    def revoke_token(self, token_id: int) -> TokenView:
        """Make a token good for nothing; servers refuse it within two seconds."""
        with self._writing() as connection:
            return tokens.revoke(connection, token_id)

    def audit(self, *, page_size: int = 50, page_token: str | None = None) -> Page[AuditEntry]:
        """List who did what, the newest first."""
        size = checked_page_size(page_size)
        below = decode_token(page_token, "audit") if page_token else None
        with self._reading() as connection:
            rows = audit.read(connection, below=below, limit=size + 1)
        more = len(rows) > size
        return Page[AuditEntry](
            items=rows[:size], next_page_token=encode_token("audit", rows[size - 1].id) if more else None
        )
