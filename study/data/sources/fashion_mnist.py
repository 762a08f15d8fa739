"""Fashion-MNIST: 70,000 grey pictures of clothes, from four files in the layout of `torchvision.datasets.FashionMNIST`.

Xiao, Rasul and Vollgraf, *Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning Algorithms* (2017).
The class names are those of its table 2, as torchvision writes them.
"""

from study.data.sources.mnist import IdxDataset

FASHION_MNIST = IdxDataset(
    title="Fashion-MNIST",
    torchvision="FashionMNIST",
    classes=(
        *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
        *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    ),
)
SOURCE = FASHION_MNIST.source("fashion_mnist")
