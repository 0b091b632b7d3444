"""Tokens and the audit log: for admins alone, also on loopback."""

from fastapi import APIRouter, Request, Response

from nas_service.access import AuditEntry, NewToken, TokenCreate, TokenView
from nas_service.api.bodies import JsonRoute
from nas_service.api.dependencies import Id, PageSize, PageToken, TheService
from nas_service.api.masks import FIELDS
from nas_service.paging import paged
from nas_service.views import Page

router = APIRouter(route_class=JsonRoute, tags=["access"])


@router.get("/tokens", dependencies=[FIELDS])
def list_tokens(
    service: TheService, page_size: PageSize = 50, page_token: PageToken = None
) -> Page[TokenView]:
    """List all tokens ever made, the newest first; never the tokens themselves."""
    return paged(service.tokens(), "tokens", page_size, page_token)


@router.post("/tokens", status_code=201)
def create_token(request: Request, response: Response, service: TheService, wanted: TokenCreate) -> NewToken:
    """Make a token; the answer is the only place that ever shows it."""
    made = service.create_token(wanted)
    response.headers["Cache-Control"] = "no-store"
    request.state.target = f"tokens/{made.id} {made.name} {made.role}"
    return made


@router.post("/tokens/{token_id:row}:revoke")
def revoke_token(request: Request, service: TheService, token_id: Id) -> TokenView:
    """Make a token good for nothing within seconds, with every session and stream it opened."""
    revoked = service.revoke_token(token_id)
    request.state.target = f"tokens/{revoked.id} {revoked.name} {revoked.role}"
    return revoked


@router.get("/audit")
def list_audit(
    service: TheService, page_size: PageSize = 50, page_token: PageToken = None
) -> Page[AuditEntry]:
    """List who did what, the newest first."""
    return service.audit(page_size=page_size, page_token=page_token)
