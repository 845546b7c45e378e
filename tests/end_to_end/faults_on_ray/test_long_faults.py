"""Faults that take longer: processes that hang, disks, nodes, heads, MLflow and PostgreSQL."""

import pytest

pytestmark = pytest.mark.long
