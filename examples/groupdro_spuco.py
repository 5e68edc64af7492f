"""GroupDRO with SpuCo's trainer: groups are (label, is the background the label's).

python examples/groupdro_spuco.py FOLDER
"""

import sys

import torch
from spuco.datasets import GroupLabeledDatasetWrapper
from spuco.evaluate import Evaluator
from spuco.robust_train import GroupDRO
from spuco.utils import set_seed
from torch import nn

from texturedmnist.interop import spuco_dataset

EPOCHS = 2


def main(folder: str) -> None:
    """Train, then print the accuracy of the worst group."""
    set_seed(0)  # without it SpuCo seeds the global generators by chance
    torch.manual_seed(0)
    trainset, testset = spuco_dataset(folder), spuco_dataset(folder, "test")
    groups = trainset.group_partition
    model = nn.Sequential(
        nn.Conv2d(3, 32, 5, 2), nn.BatchNorm2d(32), nn.ReLU(),
        nn.Conv2d(32, 64, 5, 2), nn.BatchNorm2d(64), nn.ReLU(),
        nn.AdaptiveAvgPool2d(3), nn.Flatten(), nn.Linear(576, 10),
    )  # fmt: skip
    GroupDRO(
        model,
        GroupLabeledDatasetWrapper(trainset, groups),
        batch_size=max(50, len(groups)),  # it wants at least one sample of each group
        optimizer=torch.optim.Adam(model.parameters(), 2e-3),
        num_epochs=EPOCHS,
    ).train()
    evaluator = Evaluator(
        testset, testset.group_partition, testset.group_weights, 50, model
    )
    evaluator.evaluate()
    (label, aligned), worst = evaluator.worst_group_accuracy
    kind = testset.spurious_classes[aligned]
    print(f"groups in training: {len(groups)}")
    print(f"test accuracy: {evaluator.average_accuracy:.1f} per cent")
    print(f"worst group: {label} on an {kind} background, {worst:.1f} per cent")


if __name__ == "__main__":
    main(sys.argv[1])
