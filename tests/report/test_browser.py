"""The page as Chromium renders it: on a phone and on a wide screen, light and dark."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from helpers.finished_run import HOSTILE, serving, write_run
from typer.testing import CliRunner

from stages.report import app

CHROMIUM = shutil.which("chromium")
WIDTHS = (360, 1400)
# The page is shown in a frame of the requested width, because a window of Chromium is never narrower than 500.
FRAME = """<!DOCTYPE html><body style="margin:0"><pre hidden></pre><script>
function probe(frame) {
  const page = frame.contentDocument, root = page.documentElement, colours = {};
  const background = element => {
    for (; element; element = element.parentElement) {
      const colour = page.defaultView.getComputedStyle(element).backgroundColor;
      if (colour != "rgba(0, 0, 0, 0)") return colour;
    }
  };
  for (const element of page.body.querySelectorAll("*")) {
    if (![...element.childNodes].some(node => node.nodeType == 3 && node.data.trim())) continue;
    const style = page.defaultView.getComputedStyle(element);
    const colour = element.tagName == "text" ? style.fill : style.color;
    colours[[colour, background(element)].join(" on ")] = `${element.tagName} ${element.getAttribute("class")}`;
  }
  const wide = [...page.querySelectorAll(".scroll")].filter(box => box.scrollWidth > box.clientWidth).length;
  const result = {
    width: root.scrollWidth, window: frame.clientWidth, height: root.scrollHeight, wide, colours,
    background: background(root),
  };
  document.querySelector("pre").textContent = JSON.stringify(result);
}
</script>
<iframe style="border:0;width:WIDTHpx;height:HEIGHTpx" onload="probe(this)" srcdoc="PAGE"></iframe>"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A page in which every text from the data is long and hostile."""
    folder = write_run(tmp_path_factory.mktemp("page") / "run", word=f"{HOSTILE} {'long' * 60}", rows=40)
    serving(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert CliRunner().invoke(app).exit_code == 0
    return (folder / "report.html").read_text(encoding="utf-8")


def render(page, folder, *, width, dark, height=3000):
    """Render the page in Chromium: the result of the probe, and the path of a screenshot."""
    if CHROMIUM is None:
        pytest.skip("needs chromium: apt-get install chromium")
    wrapped = FRAME.replace("WIDTH", str(width)).replace("HEIGHT", str(height)).replace("PAGE", html.escape(page))
    name = f"{width}-{'dark' if dark else 'light'}"
    (folder / f"{name}.html").write_text(wrapped, encoding="utf-8")
    command = [
        CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run",
        f"--user-data-dir={folder / 'profile'}", f"--blink-settings=preferredColorScheme={0 if dark else 1}",
        f"--window-size={max(width, 500)},{height}", f"--screenshot={folder / name}.png", "--dump-dom",
        (folder / f"{name}.html").as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    match = re.search(r'<pre hidden="">(.*?)</pre>', done.stdout, re.DOTALL)
    assert match, done.stderr[-2000:]
    return json.loads(html.unescape(match[1])), Path(f"{folder / name}.png")


def channels(colour):
    numbers = [float(number) for number in re.findall(r"[\d.]+", colour)]
    assert len(numbers) == 3, f"{colour} is transparent"
    return numbers


def luminance(colour):
    """WCAG 2, relative luminance."""
    parts = [c / 255 for c in channels(colour)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(pair):
    light, dark = sorted((luminance(colour) for colour in pair.split(" on ")), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_contrast():
    assert contrast("rgb(0, 0, 0) on rgb(255, 255, 255)") == pytest.approx(21)
    assert contrast("rgb(119, 119, 119) on rgb(255, 255, 255)") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("width", WIDTHS)
def test_the_page_fits_the_window_and_has_enough_contrast(page, tmp_path, width):
    shots, backgrounds = [], []
    for dark in (False, True):
        found, shot = render(page, tmp_path, width=width, dark=dark)
        assert found["window"] == width
        assert found["width"] <= width
        # Wide tables scroll in a box of their own; here the names of the classes are long.
        assert found["wide"] > 0
        weak = {where: round(contrast(pair), 2) for pair, where in found["colours"].items() if contrast(pair) < 4.5}
        assert weak == {}
        assert len(found["colours"]) > 5
        shots.append(shot.read_bytes())
        backgrounds.append(luminance(found["background"]))
    assert all(shot.startswith(b"\x89PNG") for shot in shots)
    assert shots[0] != shots[1]
    assert backgrounds[0] > 0.8
    assert backgrounds[1] < 0.05


def test_a_page_that_is_too_wide_is_detected(page, tmp_path):
    wide = page.replace("<main>", '<main><div style="width:500px">x</div>')
    assert render(wide, tmp_path, width=360, dark=False)[0]["width"] > 360
