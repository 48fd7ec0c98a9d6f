import json

import pytest

from pgan_tf.distribution.cluster import Cluster, read_cluster
from tfrecords_tools.errors import UserError

HOSTS = ["host0:2222", "host1:2222"]


def described(cluster, task):
    return {"TF_CONFIG": json.dumps({"cluster": cluster, "task": task})}


@pytest.mark.parametrize(
    ("cluster", "task", "expected"),
    [
        ({"worker": HOSTS}, {"type": "worker", "index": 0}, (0, HOSTS)),
        ({"worker": HOSTS}, {"type": "worker", "index": "1"}, (1, HOSTS)),
        ({"chief": ["c:1"], "worker": HOSTS}, {"type": "chief", "index": 0}, (0, ["c:1", *HOSTS])),
        ({"chief": ["c:1"], "worker": HOSTS}, {"type": "worker", "index": 1}, (2, ["c:1", *HOSTS])),
    ],
)
def test_workers_are_numbered_from_the_chief_on(cluster, task, expected):
    index, addresses = expected
    assert read_cluster(described(cluster, task)) == Cluster(
        index, len(addresses), tuple(addresses)
    )


def test_worker_0_is_the_chief():
    assert [Cluster(i, 3).is_chief for i in range(3)] == [True, False, False]


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({}, "--distribution=multi_worker needs TF_CONFIG, such as"),
        ({"TF_CONFIG": "{worker"}, "TF_CONFIG must be JSON such as .* Received: {worker"),
        ({"TF_CONFIG": "[]"}, "TF_CONFIG must be JSON such as"),
        ({"TF_CONFIG": '{"cluster": {"worker": ["a:1"]}}'}, "TF_CONFIG must be JSON such as"),
        (described({"worker": ["a"]}, {"type": "worker", "index": 0}), "must be JSON such as"),
        (described({"worker": [1]}, {"type": "worker", "index": 0}), "must be JSON such as"),
        (
            described({"worker": HOSTS, "ps": ["p:1"]}, {"type": "worker", "index": 0}),
            "may have the jobs chief and worker. Received: ps, worker",
        ),
        (described({}, {"type": "worker", "index": 0}), "Received: none"),
        (described({"worker": HOSTS}, {"type": "worker", "index": 2}), "Received: worker 2"),
        (described({"worker": HOSTS}, {"type": "chief", "index": 0}), "Received: chief 0"),
        (
            described({"worker": HOSTS + HOSTS[:1]}, {"type": "worker", "index": 0}),
            "names an address twice. Received: host0:2222, host1:2222, host0:2222",
        ),
    ],
)
def test_descriptions_without_this_worker_are_refused(environment, message):
    with pytest.raises(UserError, match=message):
        read_cluster(environment)
