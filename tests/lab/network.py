"""The network: one bridge that carries every address of the world but the sender's."""

from .cage import shell
from .world import NAMED_IPV4, NAMED_IPV6


def build(addresses: list[str]) -> None:
    """Makes the bridge with the addresses of the name server and of every host."""
    shell("ip", "link", "set", "lo", "up")
    shell("ip", "link", "add", "br0", "type", "bridge")
    shell("ip", "link", "set", "br0", "up")
    for address in [NAMED_IPV4, NAMED_IPV6, *addresses]:
        if ":" in address:
            # Without `nodad` an address cannot be bound to for its first two seconds.
            shell("ip", "address", "add", f"{address}/64", "dev", "br0", "nodad")
        else:
            shell("ip", "address", "add", f"{address}/24", "dev", "br0")
