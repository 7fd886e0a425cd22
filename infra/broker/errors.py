"""What can go wrong with the broker. All are faults: none is an answer of the domain."""

from __future__ import annotations


class BrokerError(Exception):
    """Base of every fault of this package; the text says what was tried, where, and what happened."""


class BrokerUnreachableError(BrokerError):
    """No connection to the broker, or it broke. What was not confirmed may or may not have arrived: send it again."""


class PublishTimeoutError(BrokerUnreachableError):
    """The broker did not confirm in time, as when an alarm makes it stop reading from publishers.

    The connection is given up, so a late confirm cannot be taken for another message's. Send again what was not
    confirmed.
    """


class BrokerRefusedError(BrokerError):
    """The broker said no: to a login, for want of permission, to a missing exchange, to a message too large.

    The same again is refused again; something has to be changed first.
    """


class TopologyDriftError(BrokerError):
    """A queue or an exchange stands there with other properties than the topology asks for. Nothing was deleted."""


class ForkedPublisherError(BrokerError, RuntimeError):
    """A publisher was used in a child of the process that opened it; the child needs one of its own."""


class ManagementUnknownError(BrokerError):
    """Something has to be asked of the broker's management API, and no setting says where that is."""
