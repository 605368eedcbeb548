"""What mitmproxy loads: the parts of the access control, in the order in which they are asked, then the recorder."""

from aitap.access.decryption.decryption import Decryption
from aitap.access.durability import Durability
from aitap.access.egress.egress import Egress
from aitap.access.gate.gate import Gate
from aitap.access.limits.limits import Limits
from aitap.access.peers import Peers
from aitap.access.policy.policy import Policy
from aitap.access.proxy_protocol.fronts import Fronts
from aitap.capture.addon import Recorder
from aitap.capture.chain import Chain
from aitap.certs.site import CertificateSite
from aitap.certs.watch import CertificateWatch
from aitap.observe.passing import Passing
from aitap.pace.pace import Pace

_peers = Peers()
_parts = (
    Gate(_peers),
    CertificateSite(),
    Limits(_peers),
    Egress(_peers),
    Decryption(_peers),
    Policy(_peers),
    CertificateWatch(),
    Passing(_peers),
    Pace(),
    Fronts(),
)

_durability = Durability()
_recorder = Recorder(_peers, (*_parts, _durability))
_durability.recorder = _recorder

addons = [Chain((*_parts, _recorder, _durability))]
