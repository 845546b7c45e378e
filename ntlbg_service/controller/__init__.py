"""The controller: observes the state, decides with the domain, acts through adapters."""

from ntlbg_service.controller.controller import Controller

__all__ = ["Controller"]
