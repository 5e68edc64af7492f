from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from reff_bench.catalog.methods import METHODS
from reff_bench.data.batch import Batch
from reff_bench.grid.config import RunConfig, config_id
from reff_bench.methods.method import Method, MethodError, StepContext, Terms
from reff_bench.methods.registry import find_method
from reff_bench.results.run import RunError
from reff_bench.train.machine import ComputeContext
from reff_bench.train.meter import FetchClock, Meter
from reff_bench.train.step import TrainStep, make_optimizer
from tests.reff_bench.small import small_config, train
from tests.reff_bench.test_methods import images_of, make_batch

CPU = ComputeContext(torch.device("cpu"), None)
META = ComputeContext(torch.device("meta"), None)
EAGER = torch.compile  # what it is before a test puts another backend in
OWN = {"method": "my.own:method"}


def use(monkeypatch: pytest.MonkeyPatch, method: Method) -> None:
    """Let every method of a step be this one."""
    monkeypatch.setattr("reff_bench.train.step.find_method", lambda _: method)


def train_step(config: RunConfig, machine: ComputeContext = CPU) -> TrainStep:
    method = find_method(config.method)
    state = method.build_state(config, images_of(make_batch()), 4)
    return TrainStep(config, method.build(config, 10, 3), machine, state)


def moved(device: torch.device) -> Batch:
    batch = make_batch()
    return Batch(**{name: getattr(batch, name).to(device) for name in Batch.__slots__})


def run(one: TrainStep, steps: int = 1) -> Terms:
    batch = moved(one.machine.device)
    with NoWaiting():  # type: ignore[no-untyped-call]
        for number in range(steps):
            terms = one.step(batch, 0.5, torch.Generator().manual_seed(number))
    return terms


# Of one layer, and so quickly traced.
LAST: dict[str, Any] = {"layers": ("stage4",), "batch_size": 4, "compile": True}


class NoWaiting(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Refuses a copy from the host that waits until the device has got to it."""

    def __torch_dispatch__(  # noqa: D105 (torch's name)
        self,
        func: Any,  # noqa: ANN401 (an operator of torch)
        types: Any,  # noqa: ANN401 (as torch calls it)
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 (whatever the operator gives)
        done = func(*args, **(kwargs or {}))
        if func is torch.ops.aten._to_copy.default and args[0].device.type == "cpu":
            waits = not (kwargs or {}).get("non_blocking", False)
            assert not (done.is_meta and waits), "the host waits for a copy"
        return done


VARIANTS: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in METHODS),
    ("reff", {"cam_bn": "eval", "target": "predicted", "optimizer": "sgd"}),
    ("reff", {"detach_weights": True, "sign": "abs", "normalization": "sum"}),
    ("reff", {"score": "log_probability", "norm": "l1", "pooling": "area"}),
    ("reff", {"cam_precision": "bfloat16", "norm": "squared", "warmup": 0.0}),
    ("abn", {"multiplicative_only": True, "pooling": "max", "momentum": 0.5}),
]


@pytest.mark.parametrize(("name", "options"), VARIANTS)
def test_no_step_waits_for_the_device(name: str, options: dict[str, Any]) -> None:
    # Tensors of the meta device have no values: whatever reads one raises.
    one = train_step(small_config(name, **options), META)
    meter = Meter()
    terms = run(one)
    meter.add(1, 4, {"loss": terms.total(), **terms.losses}, terms.log)
    assert terms.logits.is_meta
    assert not terms.total().requires_grad
    with pytest.raises((RuntimeError, NotImplementedError), match="meta"):
        meter.sync(1)


def reads(step: StepContext) -> Terms:
    logits = step.forward(step.batch.image).logits
    return Terms(logits, {"loss": logits.sum()}, log={"mean": logits.mean().item()})


def copies(step: StepContext) -> Terms:
    offset = torch.rand(4, generator=step.generator)
    logits = step.forward(step.batch.image).logits
    return Terms(logits, {"loss": (logits.sum(1) + offset.to(logits.device)).sum()})


@pytest.mark.parametrize(("terms", "said"), [(reads, "meta"), (copies, "host waits")])
def test_a_step_that_waits_is_noticed(
    terms: Callable[[StepContext], Terms], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, Method(find_method("baseline").build, terms))
    with pytest.raises((RuntimeError, AssertionError), match=said):
        run(train_step(small_config(), META))


def test_what_is_logged_on_the_device_counts_as_its_number() -> None:
    tensors, numbers = Meter(), Meter()
    for step, value in enumerate([0.1, 0.25, 3.0], start=1):
        rough, single = torch.tensor(value, dtype=torch.bfloat16), torch.tensor([value])
        losses = {"loss": single, "rough": rough}
        tensors.add(step, step, losses, {"share": single[0], "host": value})
        plain = {"share": float(single), "host": value}
        numbers.add(step, step, losses | {"loss": torch.tensor(value)}, plain)
    tensors.sync(1)
    numbers.sync(1)
    assert tensors.means() == numbers.means()
    assert tensors.means()["host"] == pytest.approx((0.1 + 0.5 + 9.0) / 6)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_a_fused_optimizer_goes_on_from_any_state(optimizer: str) -> None:
    config = small_config(optimizer=optimizer, momentum=0.9)
    ends = []
    for before, after in product((True, False), repeat=2):
        one = train_step(config)
        one.optimizer = make_optimizer(config, one.model, fused=before)
        run(one, 2)
        state = one.state_dict()
        one.optimizer = make_optimizer(config, one.model, fused=after)
        one.load_state_dict(state)
        assert one.optimizer.param_groups[0]["fused"] is (after or None)
        run(one, 2)
        ends.append(torch.cat([p.detach().flatten() for p in one.model.parameters()]))
    for other in ends[:-1]:
        torch.testing.assert_close(other, ends[-1], rtol=1e-3, atol=1e-4)
    plain = train_step(config).optimizer  # on a CPU
    assert plain.param_groups[0]["fused"] is None


@pytest.fixture
def quick_compile(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Compile without a C++ compiler's minutes: the graphs run as they were traced."""
    torch.compiler.reset()
    monkeypatch.setattr(torch, "compile", partial(EAGER, backend="aot_eager"))
    yield
    torch.compiler.reset()


def check_compiled(config: RunConfig, out: Path, *, rtol: float, atol: float) -> None:
    """A compiled run and an eager one end with the same weights."""
    both = config.model_copy(update={"compile": True}), config
    (record, found), (eager, expected) = (
        train(one, out / str(one.compile)) for one in both
    )
    assert (record["compiled"], eager["compiled"]) == (True, False)
    assert list(found) == list(expected)  # the names that an evaluation looks for
    for key, value in found.items():
        torch.testing.assert_close(value, expected[key], rtol=rtol, atol=atol)


@pytest.mark.usefixtures("quick_compile")
@pytest.mark.parametrize("name", ["abn", "background_swap"])
def test_a_compiled_run_learns_the_same(name: str, tmp_path: Path) -> None:
    config = small_config(name, epochs=1, train=32)
    check_compiled(config, tmp_path, rtol=1e-3, atol=1e-4)


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trace what would be compiled, and run the trace."""
    monkeypatch.setattr(torch, "compile", lambda graph: graph)


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("reff", {}),
        ("reff_l2", {"cam_bn": "eval", "layers": ("stage4",)}),
        ("reff_plus", {"detach_weights": True, "target": "predicted"}),
    ],
)
def test_a_traced_step_is_an_eager_one_to_the_bit(
    name: str, options: dict[str, Any], tmp_path: Path
) -> None:
    # A weight that rises is rounded to float32 in a trace, so it doesn't rise here.
    fields = {"annotations": "all", **options, "warmup": 0.0, "epochs": 1}
    config = small_config(name, **fields)
    assert config.train is not None
    assert config.train % config.batch_size != 0  # the last batch is an eager one
    check_compiled(config, tmp_path, rtol=0.0, atol=0.0)


@pytest.mark.usefixtures("traced")
def test_a_traced_step_follows_the_progress() -> None:
    config = small_config("reff", **LAST, warmup=0.5, weight=8.0)
    one = train_step(config)
    for progress, weight in ((0.0, 0.0), (0.125, 2.0), (0.5, 8.0), (0.75, 8.0)):
        terms = one.step(make_batch(), progress, torch.Generator())
        assert float(terms.weights["penalty"]) == weight
        total = terms.losses["cross_entropy"] + weight * terms.losses["penalty"]
        torch.testing.assert_close(terms.total(), total)


@pytest.mark.usefixtures("traced")
def test_a_trace_in_mixed_precision_is_mixed() -> None:
    config = small_config("reff", **LAST)
    one = train_step(config, ComputeContext(torch.device("cpu"), torch.bfloat16))
    terms = one.step(make_batch(), 0.5, torch.Generator())
    assert terms.logits.dtype == torch.bfloat16
    assert terms.losses["penalty"].dtype == torch.float32


def wrong_gradients(graph: Callable[..., Any]) -> Callable[..., Any]:
    def run(*inputs: Any) -> Any:  # noqa: ANN401 (whatever the graph takes)
        *found, slopes = graph(*inputs)
        return (*found, [1.1 * slope for slope in slopes])

    return run


def lost_statistics(graph: Callable[..., Any]) -> Callable[..., Any]:
    def run(weights: Any, buffers: Any, *inputs: Any) -> Any:  # noqa: ANN401 (likewise)
        return graph(weights, {k: v.clone() for k, v in buffers.items()}, *inputs)

    return run


@pytest.mark.parametrize("compiler", [wrong_gradients, lost_statistics])
def test_a_compiler_that_is_wrong_ends_the_run(
    compiler: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "compile", compiler)
    one = train_step(small_config("reff", **LAST))
    before = {name: value.clone() for name, value in one.model.state_dict().items()}
    with pytest.raises(RunError, match=r"other results.*leave compile out for reff"):
        one.step(make_batch(), 0.5, torch.Generator())
    after = one.model.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_a_method_of_the_users_own_stays_eager(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, find_method("baseline"))
    config = small_config(compile=True).model_copy(update=OWN)
    model = find_method("baseline").build(config, 10, 3)
    assert not TrainStep(config, model, CPU).compiled


def test_compile_enters_the_id_only_where_it_compiles() -> None:
    for name in (name for name, spec in METHODS.items() if spec.compiles):
        plain, compiled = (small_config(name, compile=on) for on in (False, True))
        assert config_id(plain) != config_id(compiled)
    own = (small_config(compile=on).model_copy(update=OWN) for on in (False, True))
    assert len({*map(config_id, own)}) == 1


def test_the_time_for_batches_alone_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    clock = FetchClock(torch.device("cpu"))
    taken = []

    def slow() -> Iterator[Batch]:
        for seconds in (1.0, 2.0, 4.0):
            now[0] += seconds
            yield make_batch()
        now[0] += 100.0

    for _ in clock.watch(slow()):
        now[0] += 10.0  # the step
        taken.append(clock.take())
    assert taken == [1.0, 2.0, 4.0]
    assert clock.take() == 0.0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["baseline", "reff"])
def test_the_real_compiler_learns_the_same(name: str, tmp_path: Path) -> None:
    config = small_config(name, epochs=1)
    check_compiled(config, tmp_path, rtol=1e-2, atol=1e-3)


@pytest.mark.gpu
@pytest.mark.parametrize("name", METHODS)
def test_no_step_waits_for_a_gpu(name: str) -> None:
    device = torch.device("cuda")
    one = train_step(small_config(name), ComputeContext(device, torch.bfloat16))
    batch = moved(device)
    one.step(batch, 0.5, torch.Generator())  # cuDNN's first call may wait
    torch.cuda.set_sync_debug_mode("error")
    try:
        one.step(batch, 0.5, torch.Generator())
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.gpu
def test_on_a_gpu_the_wait_is_the_devices() -> None:
    device = torch.device("cuda")
    clock = FetchClock(device)
    work = nn.Linear(4096, 4096, device=device)
    rows = torch.randn(4096, 4096, device=device)
    for _ in clock.watch([make_batch()] * 20):
        for _ in range(20):
            work(rows)
    assert clock.take() < 0.05


Returned: TypeAlias = Callable[[Tensor, Tensor], Any]  # of the logits and a loss
WRONG_TERMS: dict[str, Returned] = {
    "returned a Tensor for a step; it should be a reff_bench": lambda x, loss: x,
    r"the logits are a tensor \(4,\) of torch.float32; expected is a tensor \(4, K\)": (
        lambda x, loss: Terms(x[:, 0], {"a": loss})
    ),
    "the logits are a list": lambda x, loss: Terms([1.0], {"a": loss}),  # type: ignore[arg-type]
    "there is no loss; at least one": lambda x, loss: Terms(x, {}),
    "the name 'loss' is taken": lambda x, loss: Terms(x, {"loss": loss}),
    "the name 'val_accuracy' is taken": (
        lambda x, loss: Terms(x, {"a": loss}, log={"val_accuracy": 1.0})
    ),
    "the name 'a' is taken": lambda x, loss: Terms(x, {"a": loss}, log={"a": 1.0}),
    r"the weight 'b' is of no loss \(there are: a\)": (
        lambda x, loss: Terms(x, {"a": loss}, {"b": 2.0})
    ),
    r"the loss 'a' is a tensor \(4, 10\) of .*; expected is a scalar tensor": (
        lambda x, loss: Terms(x, {"a": x})
    ),
    "the loss 'a' is a float": lambda x, loss: Terms(x, {"a": 1.0}),  # type: ignore[dict-item]
    "no loss has a graph": lambda x, loss: Terms(x, {"a": loss.detach()}),
    "the number 'b' is a str; expected is one number": (
        lambda x, loss: Terms(x, {"a": loss}, log={"b": "1"})  # type: ignore[dict-item]
    ),
}


@pytest.mark.parametrize("message", WRONG_TERMS)
def test_what_a_method_returns_is_checked_in_its_first_step(
    message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def terms(step: StepContext) -> Any:  # noqa: ANN401 (a method may return anything)
        logits = step.forward(step.batch.image).logits
        return WRONG_TERMS[message](logits, logits.logsumexp(1).mean())

    use(monkeypatch, Method(find_method("baseline").build, terms))
    with pytest.raises(MethodError, match=message):
        run(train_step(small_config()))


def test_a_model_that_returns_logits_alone_is_refused() -> None:
    flat = nn.Sequential(nn.Flatten(), nn.LazyLinear(10))
    with pytest.raises(MethodError, match="baseline returned a Tensor; it should be a"):
        run(TrainStep(small_config(), flat, CPU))
