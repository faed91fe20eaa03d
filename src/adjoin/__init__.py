"""A self-hosted control plane for Active Directory domain join connectors, wire-compatible with Microsoft Graph."""

__version__ = "0.1.0"
