from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import django_filters
from django import forms

from dashboard import clusters
from dashboard.models import SuppliedOutput, Wait, WaitQuerySet

OUTPUT_PREFIX = "output:"


class StopForm(forms.Form):
    message = forms.CharField(
        max_length=4000,
        widget=forms.Textarea(attrs={"rows": 2}),
        error_messages={"required": "Say why: the message is what the workflow's owner will read in Argo."},
    )

    def clean_message(self) -> str:
        # Browsers send CR LF from a text area; Argo keeps the message to the letter.
        return str(self.cleaned_data["message"]).replace("\r\n", "\n")


class ResumeForm(forms.Form):
    """A field for each output that the node declares as supplied; none for most waits."""

    def __init__(self, data: Mapping[str, Any] | None = None, *, outputs: Iterable[SuppliedOutput]) -> None:
        super().__init__(data)
        for output in outputs:
            self.fields[OUTPUT_PREFIX + output["name"]] = _output_field(output)

    @property
    def outputs(self) -> dict[str, str]:
        """Output -> value; call after is_valid()."""
        return {name.removeprefix(OUTPUT_PREFIX): value for name, value in self.cleaned_data.items()}

    def add_output_errors(self, problems: Mapping[str, str]) -> None:
        """Puts what Argo's node expects beside the fields; what has no field goes above the form."""
        for name, problem in problems.items():
            field = OUTPUT_PREFIX + name
            self.add_error(field if field in self.fields else None, problem)


class _Choices(forms.Select):
    """A select whose chosen value is always among its choices, also when nothing waits there any more."""

    def optgroups(self, name: str, value: list[str], attrs: dict[str, Any] | None = None) -> list[Any]:
        known = {str(key) for key, _ in self.choices}
        self.choices = [*self.choices, *((v, v) for v in value if v not in known)]
        return super().optgroups(name, value, attrs)


class WaitFilter(django_filters.FilterSet):
    """What the board can be narrowed by; all of it stands in the URL."""

    q = django_filters.CharFilter(method="search")
    cluster = django_filters.CharFilter(widget=_Choices)
    namespace = django_filters.CharFilter(widget=_Choices)
    template = django_filters.CharFilter(widget=_Choices)
    kind = django_filters.ChoiceFilter(choices=Wait.Kind, empty_label="Jobs and gates")

    class Meta:
        model = Wait
        fields: list[str] = []

    def search(self, queryset: WaitQuerySet, name: str, value: str) -> WaitQuerySet:
        return queryset.matching(value)

    def offer_choices(self) -> None:
        """Fills the selects with what waits now; only a page that shows them needs the queries."""
        fields = self.form.fields
        waits = Wait.objects.none() if self.queryset is None else self.queryset
        _offer(fields["cluster"], "All clusters", clusters.all())
        for name, label in (("namespace", "All namespaces"), ("template", "All templates")):
            values = waits.exclude(**{name: ""}).order_by(name).values_list(name, flat=True)
            _offer(fields[name], label, values.distinct()[:500])


def _offer(field: forms.Field, label: str, values: Iterable[str]) -> None:
    field.widget.choices = [("", label), *((value, value) for value in values)]


def _output_field(output: SuppliedOutput) -> forms.CharField | forms.ChoiceField:
    shown = {
        "label": output["name"],
        "initial": output["default"],
        "help_text": output["description"],
        "required": output["default"] != "",
        "error_messages": {"required": "This output needs a value."},
    }
    if not output["choices"]:
        return forms.CharField(strip=False, **shown)  # type: ignore[arg-type]
    choices = [(choice, choice) for choice in output["choices"]]
    if output["default"] is None:
        choices.insert(0, ("", "Choose…"))
    return forms.ChoiceField(choices=choices, **shown)  # type: ignore[arg-type]
