"""A cluster's systemctl: systemd supervises, etcd remembers, an elected engine places."""

__version__ = "0.1.0"
