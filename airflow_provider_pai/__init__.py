"""Apache Airflow provider for Alibaba Cloud PAI (DSW, DLC, OSS, EAS)."""

__version__ = "0.1.0"
