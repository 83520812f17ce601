// Times in the reader's zone with UTC on hover, ages that go on, and exact digits when copied.
const local = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const day = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });
const LONG_AGO = 30 * 86400;
const UNITS = [["d", 86400], ["h", 3600], ["min", 60]];

function age(at) {
  const seconds = (Date.now() - at) / 1000;
  if (seconds > LONG_AGO) return day.format(at);
  const unit = UNITS.find(([, size]) => Math.abs(seconds) >= size);
  if (!unit) return seconds < 0 ? "in a moment" : "just now";
  const text = `${Math.floor(Math.abs(seconds) / unit[1]).toLocaleString()} ${unit[0]}`;
  return seconds < 0 ? `in ${text}` : `${text} ago`;
}

function withAge(at) {
  return Date.now() - at > 1000 * LONG_AGO ? local.format(at) : `${local.format(at)} (${age(at)})`;
}

function show() {
  for (const time of document.querySelectorAll("time[datetime]")) {
    const at = new Date(time.dateTime);
    if (Number.isNaN(at.getTime())) continue;
    const text = time.dataset.form === "age" ? age(at) : withAge(at);
    const utc = `${time.dateTime.replace("T", " ").replace("Z", "")} UTC`;
    const title = time.dataset.form === "age" ? `${local.format(at)}, ${utc}` : utc;
    if (time.textContent !== text) time.textContent = text;
    if (time.title !== title) time.title = title;
  }
}

show();
setInterval(show, 10_000);
document.addEventListener("swapped", show);

document.addEventListener("copy", (event) => {
  const selection = getSelection();
  if (selection.rangeCount !== 1 || selection.isCollapsed) return;
  const node = selection.getRangeAt(0).commonAncestorContainer;
  const amount = (node.nodeType === Node.ELEMENT_NODE ? node : node.parentElement).closest("data[value]");
  if (amount && selection.toString().trim() === amount.innerText.trim()) {
    event.clipboardData.setData("text/plain", amount.value);
    event.preventDefault();
  }
});
