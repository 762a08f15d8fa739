"""`data`: the images of a study, their split and their preprocessing, with the defaults of each data set."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import (
    BeforeValidator,
    Field,
    model_validator,
)

from study.datasets import DATA_DEFAULTS
from study.values import (
    DataPath,
    Model,
    Seed,
)

if TYPE_CHECKING:
    DatasetName = str
else:
    DatasetName = Literal[tuple(DATA_DEFAULTS)]  # so that a new data set is one line in `study/datasets.py`
_Side = Annotated[int, Field(ge=1, le=4096)]
ImageSize = Annotated[
    tuple[_Side, _Side], BeforeValidator(lambda value: (value, value) if type(value) is int else value)
]
"""Height and width; a single number is both."""
_PATHS = {
    "image_folder": "a folder or tar file with train/CLASS and test/CLASS",
    "arrays": "an .npz or Parquet file, or a folder with metadata.csv or Parquet files",
}
"""The data sets that have a path, and what it leads to."""
Preprocessing = Literal["subtract_pixel_mean", "local_contrast_normalization"]


class DataConfig(Model):
    """Which images a study has, how they are split and how they are preprocessed."""

    name: DatasetName
    path: DataPath | None = Field(
        None,
        description="image_folder: a folder, tar or zip file of train/CLASS and test/CLASS, or of CLASS; arrays: an "
        ".npz or Parquet file, or a folder with metadata.csv or Parquet files; looked for beside the study file, then "
        "in the working folder, then in the data folder",
    )
    background: str | None = Field(
        None,
        pattern=r"^#[0-9a-fA-F]{6}$",
        description="image_folder and arrays: the colour behind transparent pixels, as #rrggbb (#ffffff)",
    )
    size: ImageSize | None = Field(
        None,
        description="image_folder and arrays: `64` or `[height, width]`: pictures are resized until they just cover "
        "it, then cropped to its centre; without it all pictures must have the same size",
    )
    nested: Literal["first", "path"] | None = Field(
        None,
        description="image_folder only: what to do with folders inside class folders. first: their images belong to "
        "the class folder; path: every folder is a class, named by its whole path; without it such folders are refused",
    )
    validation: int | float = Field(
        0.1,
        gt=0,
        description="training images held out for validation: a count, or a share below 1; stratified by class",
    )
    fraction: float = Field(
        1.0,
        gt=0,
        le=1,
        description="share of the training images for the students, stratified by class; teachers learn from all",
    )
    preprocess: tuple[Preprocessing, ...] = Field(
        (), description="steps, in this order; its default depends on the data set"
    )
    augment: tuple[Literal["mirror"], ...] = Field((), description="mirror: train on every image and its mirror image")
    split_seed: Seed = Field(0, description="fixes which images are for validation, and for a test set that is drawn")

    @model_validator(mode="before")
    @classmethod
    def _defaults_of_the_dataset(cls, value: Any) -> Any:
        if isinstance(value, Mapping) and isinstance(value.get("name"), str):
            return {**DATA_DEFAULTS.get(value["name"], {}), **value}
        return value

    @model_validator(mode="after")
    def _is_one_dataset(self) -> Self:
        expected = _PATHS.get(self.name)
        if (expected is not None) != (self.path is not None):
            needed = "needs" if self.path is None else "does not take"
            raise ValueError(f"`path` ({expected or ' or '.join(_PATHS.values())}): {self.name} {needed} it")
        if len(set(self.preprocess)) < len(self.preprocess) or "local_contrast_normalization" in self.preprocess[1:]:
            raise ValueError(
                "preprocess: expected each step once, and local_contrast_normalization first; got "
                f"{list(self.preprocess)}"
            )
        if self.background is not None and expected is None:
            raise ValueError(f"`background` is for image_folder and arrays: {self.name} has no transparent pixels")
        if self.nested is not None and self.name != "image_folder":
            raise ValueError(f"`nested` is for image_folder: {self.name} has no folders")
        if self.size is not None and expected is None:
            raise ValueError(f"`size` is for image_folder and arrays: all images of {self.name} have the same size")
        if self.validation >= 1 and self.validation != int(self.validation):
            raise ValueError(
                f"validation: expected a whole number of images, or a share below 1, not {self.validation}"
            )
        return self

    @property
    def mirror(self) -> bool:
        return "mirror" in self.augment
