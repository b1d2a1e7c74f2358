"""etcd v3: the only place that speaks its protocol."""

from fleetish.store.etcd.client import EtcdKeyValues, open_store
from fleetish.store.etcd.members import Credentials

__all__ = ["Credentials", "EtcdKeyValues", "open_store"]
