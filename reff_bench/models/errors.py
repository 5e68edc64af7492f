"""The error of a model that can't be built."""


class ModelError(ValueError):
    """A model that can't be built as asked: says why and what is allowed.

    Examples:
        >>> from reff_bench import ModelError, build_backbone
        >>> try:
        ...     build_backbone("resnet19", 10)
        ... except ModelError as error:
        ...     print(str(error)[:53])
        unknown backbone 'resnet19'; did you mean 'resnet18'?
    """
