"""A private certification authority and a certificate of it for 127.0.0.1, as files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import trustme


@dataclass(frozen=True, slots=True)
class Certificates:
    """Where the files are: the authority, the server's chain, and its private key."""

    authority: Path
    chain: Path
    key: Path

    def trust(self, authority: Path) -> None:
        """Have clients that trust this authority trust another one, too."""
        with self.authority.open("ab") as file:
            file.write(authority.read_bytes())


def made(folder: Path) -> Certificates:
    """New certificates in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    files = Certificates(folder / "ca.pem", folder / "server.pem", folder / "server.key")
    authority = trustme.CA()
    leaf = authority.issue_cert("127.0.0.1", "localhost")
    authority.cert_pem.write_to_path(files.authority)
    leaf.private_key_pem.write_to_path(files.key)
    for at, part in enumerate(leaf.cert_chain_pems):
        part.write_to_path(files.chain, append=at > 0)
    return files
