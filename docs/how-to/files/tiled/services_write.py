"""Who may do what: services (an agent, a RunEngine) write, people read."""

from tiled.access_control.access_policies import DummyAccessPolicy
from tiled.access_control.scopes import ALL_SCOPES, NO_SCOPES, PUBLIC_SCOPES


class ServicesWrite(DummyAccessPolicy):
    """Everybody who has logged in sees everything; a key may narrow that down further."""

    async def allowed_scopes(self, node, principal, authn_access_tags, authn_scopes):
        """What a principal may do at a node."""
        if principal is None:
            return NO_SCOPES
        return ALL_SCOPES if principal.type == "service" else PUBLIC_SCOPES
