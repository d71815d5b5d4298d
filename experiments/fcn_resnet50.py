"""FCN-ResNet50 at 1×3×224×224: where to cut it, and what accelerator, clock and link its sensor node should have.

python experiments/fcn_resnet50.py                              the exact front of the space
python experiments/fcn_resnet50.py --algorithm optuna-nsga2 --budget 2000 --seed 1
"""

from dse import DEFAULT_CONSTRAINTS, Constraint, StudySpec, launch
from evaluators.system import SystemSettings
from search_spaces import networks
from search_spaces.space import sensor_edge_space


def study() -> StudySpec:
    """The Pareto front of sensor energy against end-to-end latency of FCN-ResNet50.

    The accelerator has 4 mm² (45 nm): without a bound the largest array in the space wins in both objectives.
    """
    network = networks.load("fcn_resnet50", input_shape=(1, 3, 224, 224))
    return StudySpec(
        network=network,
        space=sensor_edge_space(network),
        settings=SystemSettings(),
        constraints=(*DEFAULT_CONSTRAINTS, Constraint("area_mm2", 4.0)),
    )


if __name__ == "__main__":
    launch(study)
