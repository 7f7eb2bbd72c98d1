"""W&B's views of a project: a workspace to watch runs in and a report that compares methods.

Both are plain objects of `wandb-workspaces` that need no account until they are saved. Panels name the keys
that `wandb_tracker` and `epochs.csv` write; classes and their number need not be known, because per-class
curves are found by a pattern.

The package is an extra and warns when it is imported, so it is imported where it is used.
"""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rwseg.core.errors import RunError
from rwseg.experiments.run_identity import require

if TYPE_CHECKING:
    import wandb_workspaces.reports.v2.interface as wr
    import wandb_workspaces.workspaces.interface as ws

METHOD = "method"  # of the configuration: `Identity.method`
EPOCH = "epoch"
NAME = "Region-wise losses"
COLUMNS = (
    "final/dice",
    "final/hausdorff",
    "final/unit",
    "final/missed",
    "final/spurious",
    "final/missed_policy",
    "final/seconds",
    "final/device",
    "final/commit",
)

HOW_TO_READ = (
    "A line or bar is a method: its runs differ in the seed only. Loss values of different losses cannot be "
    "compared: take train/loss_gap (the loss above that of a perfect prediction) within a loss and "
    "validation Dice between losses. Tests between losses, corrected: rwseg report DIR... -o OUT."
)


@dataclass(frozen=True)
class Dashboard:
    """The two views of a project."""

    workspace: "ws.Workspace"
    report: "wr.Report"

    def as_json(self) -> str:
        """What would be sent, as JSON."""
        models = {
            "workspace": self.workspace._to_model(),
            "report": self.report._to_model(),  # type: ignore[no-untyped-call]
        }
        views = {
            name: model.model_dump(mode="json", by_alias=True, exclude_none=True)
            for name, model in models.items()
        }
        return json.dumps(views, indent=2)

    def save(self) -> None:
        """Send both views; `RunError` without an account, a connection or the project."""
        import wandb

        try:
            self.workspace.save()  # type: ignore[no-untyped-call]
            self.report.save()
        except (wandb.errors.Error, ValueError, OSError) as error:
            where = f"{self.report.entity or 'your account'}/{self.report.project}"
            raise RunError(
                f"{where}: expected an account (wandb login) that may write to this project, got: {error}; "
                "look at the views without one by adding --dry-run"
            ) from error


def dashboard(project: str, entity: str, saved: bool) -> Dashboard:
    """Build the views of `entity/project`.

    `saved`: for saving, the report's runs are tied to the project by its id, which W&B looks up. Raises
    `RunError` without the package.
    """
    require("wandb_workspaces", "the views of a W&B project", "rwseg[wandb]")
    import wandb_workspaces.workspaces.interface as ws
    from wandb_workspaces import expr

    sections = {
        "Curves by method": curves(),
        "Wrong signs": wrong_signs(),
        "Distribution over seeds": seeds(),
    }
    tables = {"Comparison": comparison()}
    columns = [f"summary:{name}" for name in COLUMNS]
    workspace = ws.Workspace(
        entity=entity,
        project=project,
        name=NAME,
        sections=[
            ws.Section(name=name, panels=panels, is_open=True)
            for name, panels in {**sections, **tables}.items()
        ],
        settings=ws.WorkspaceSettings(x_axis=EPOCH, max_runs=100),
        runset_settings=ws.RunsetSettings(groupby=[expr.Config(METHOD)], pinned_columns=columns),
    )
    return Dashboard(workspace, _report(project, entity, saved, {**tables, **sections}, columns))


def _report(
    project: str, entity: str, saved: bool, grids: "dict[str, list[wr.PanelTypes]]", columns: list[str]
) -> "wr.Report":
    """A page of a heading and a grid of panels for each of `grids`."""
    import wandb_workspaces.reports.v2.interface as wr

    blocks: list[wr.BlockTypes] = [wr.P(HOW_TO_READ)]
    for name, panels in grids.items():
        runs = wr.Runset(
            entity=entity if saved else "",
            project=project if saved else "",
            name="by method",
            groupby=[f"config.{METHOD}"],
            pinned_columns=columns,
        )
        blocks += [wr.H1(name), wr.PanelGrid(runsets=[runs], panels=panels)]
    return wr.Report(project=project, entity=entity, title=f"{NAME}: {project}", blocks=blocks, width="fluid")


def curves() -> "list[wr.PanelTypes]":
    """Mean and spread over the runs of a method, per epoch."""
    return [
        _curve("Validation Dice", "val/dice", limits=(0, 1)),
        _curve("Validation Dice per class", pattern="^val/dice_.*", limits=(0, 1)),
        _curve("Loss above a perfect prediction", "train/loss_gap"),
        _curve("Terms of the loss", "train/main", "train/partner"),
        _curve("Missed and spurious structures", "val/missed", "val/spurious"),
    ]


def wrong_signs() -> "list[wr.PanelTypes]":
    """Shares of pixels whose gradient has a wrong sign."""
    return [
        _curve("Wrong signs", "train/wrong_sign", limits=(0, 1)),
        _curve("Wrong signs per class", pattern="^train/wrong_sign_.*", limits=(0, 1)),
    ]


def seeds() -> "list[wr.PanelTypes]":
    """Final Dice of every run by its seed, and the range over runs."""
    import wandb_workspaces.reports.v2.interface as wr

    return [
        wr.ScatterPlot(title="Final Dice of each run", x=wr.Config("seed"), y=wr.SummaryMetric("final/dice")),
        wr.BarPlot(
            title="Final Dice, mean and range over seeds",
            metrics=["final/dice"],
            groupby=wr.Config(METHOD),
            groupby_aggfunc="mean",
            groupby_rangefunc="minmax",
        ),
    ]


def comparison() -> "list[wr.PanelTypes]":
    """Dice per case of all runs, overlays of the same cases, and the settings in which runs differ."""
    import wandb_workspaces.reports.v2.interface as wr

    wide = wr.Layout(w=24, h=10)
    overlays = [f"overlays/{number}" for number in (1, 2, 3)]
    return [
        wr.WeavePanelSummaryTable(table_name="cases", layout=wide),
        wr.MediaBrowser(title="The same cases", media_keys=overlays, layout=wide),
        wr.RunComparer(diff_only="split", layout=wide),
    ]


def _curve(
    title: str,
    *keys: str,
    pattern: str | None = None,
    limits: tuple[float | None, float | None] = (None, None),
) -> "wr.LinePlot":
    import wandb_workspaces.reports.v2.interface as wr

    return wr.LinePlot(
        title=title,
        x=EPOCH,
        y=list(keys),
        metric_regex=pattern,
        range_y=limits,
        groupby=wr.Config(METHOD),
        groupby_aggfunc="mean",
        groupby_rangefunc="stddev",
    )
