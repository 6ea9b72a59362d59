"""Object Storage Service: buckets and objects as files on disk."""
