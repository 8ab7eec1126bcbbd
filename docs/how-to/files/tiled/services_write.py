"""Who may do what: services (an agent, a RunEngine) write, people read, and some of them steer."""

from tiled.access_control.access_policies import DummyAccessPolicy
from tiled.access_control.scopes import ALL_SCOPES, NO_SCOPES, PUBLIC_SCOPES

STEERING = {"write:metadata", "create:node"}  # a command is a node


class ServicesWrite(DummyAccessPolicy):
    """Everybody who has logged in sees everything; a key may narrow that down further.

    `may_steer` are the names of people who may create nodes and change metadata, and so send commands to an agent.
    """

    def __init__(self, may_steer=()):
        self._may_steer = {*may_steer}

    async def allowed_scopes(self, node, principal, authn_access_tags, authn_scopes):
        """What a principal may do at a node."""
        if principal is None:
            return NO_SCOPES
        allowed = {*authn_scopes}  # by the key; some of Tiled's routes ask only here
        if principal.type == "service":
            return ALL_SCOPES & allowed
        steers = any(identity.id in self._may_steer for identity in principal.identities)
        return (PUBLIC_SCOPES | STEERING if steers else PUBLIC_SCOPES) & allowed
