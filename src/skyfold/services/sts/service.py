"""AWS Security Token Service, declared."""

from skyfold.kernel.service import Service, read, write
from skyfold.services.sts.operations import identity, sessions

SERVICE = Service(
    model="sts",
    operations={
        # AssumeRole asks the role's trust policy; the others need no permission, or ask themselves.
        "AssumeRole": write(sessions.assume_role, open=True),
        "GetAccessKeyInfo": read(identity.get_access_key_info),
        "GetCallerIdentity": read(identity.get_caller_identity, open=True),
        "GetFederationToken": write(sessions.get_federation_token, open=True),
        "GetSessionToken": write(sessions.get_session_token, open=True),
    },
)
