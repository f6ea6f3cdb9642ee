// What htmx cannot do by itself: ticking times, keys, copying, and polls that disturb nobody.
// Everything here is an extra; the pages work without it.
(function () {
  "use strict";

  const STAYS = 10_000; // ms that a row with a result stays
  const STAYS_REFUSED = 25_000;
  const RESTLESS = 8_000; // a pointer that moved within this is in use
  const POLL_TIMEOUT = 8_000;

  const $ = (selector, root = document) => root.querySelector(selector);
  const all = (selector, root = document) => root.querySelectorAll(selector);
  const on = (name, act, where = document) => where.addEventListener(name, act);
  const isPoll = (event) => event.detail.requestConfig?.elt?.id === "poll" || event.detail.elt?.id === "poll";

  function say(text) {
    $("#said").textContent = text;
  }

  // --- Times -----------------------------------------------------------------------------------------
  let ahead = 0; // ms that the server's clock is ahead of ours

  const two = (number) => String(number).padStart(2, "0");

  // The same words as dashboard/wording.py lasting().
  function lasting(ms, exact) {
    const s = Math.max(0, Math.floor(ms / 1000));
    const [m, h, d] = [Math.floor(s / 60), Math.floor(s / 3600), Math.floor(s / 86400)];
    if (m < 1) return `${s} s`;
    if (m < 10 || (exact && h < 1)) return `${m} m ${two(s % 60)} s`;
    if (h < 1) return `${m} m`;
    if (d < 1) return `${h} h ${two(m % 60)} m`;
    return d < 100 ? `${d} d ${two(h % 24)} h` : `${d} d`;
  }

  function words(time) {
    const away = Date.now() + ahead - Date.parse(time.dateTime);
    if ("left" in time.dataset) return lasting(-away, true);
    return "ago" in time.dataset ? `${lasting(away)} ago` : lasting(away);
  }

  function tick() {
    for (const time of all("time[data-for], time[data-left], time[data-ago]")) {
      const text = words(time);
      // Only what differs is written, or a selection would be lost every second.
      if (time.firstChild.nodeValue !== text) time.firstChild.nodeValue = text;
    }
    letLeave();
  }

  function noteClock(xhr) {
    const served = Date.parse(xhr.getResponseHeader("Date") || "");
    const skew = served - Date.now();
    ahead = Math.abs(skew) > 3000 ? skew : 0;
  }

  // --- Rows that leave -------------------------------------------------------------------------------
  let moved = 0;
  on("pointermove", () => (moved = Date.now()));

  const pointerIsOn = (element) => Date.now() - moved < RESTLESS && element?.matches(":hover");

  function letLeave() {
    const rows = $(".board .rows");
    if (!rows || pointerIsOn(rows)) return;
    for (const row of all(".row[data-leaves]", rows)) {
      if (Number(row.dataset.leaves) <= Date.now() && !row.classList.contains("leaving")) leave(row);
    }
  }

  function leave(row) {
    if (row.contains(document.activeElement)) neighbour(row)?.focus({ preventScroll: true });
    row.classList.add("leaving");
    setTimeout(() => row.remove(), 260);
  }

  const neighbour = (row) => row.nextElementSibling || row.previousElementSibling;

  // A row that is over stays for a while, so that its result can be read and nothing jumps.
  function timeResults() {
    for (const row of all(".board .row.over:not([data-leaves])")) {
      row.dataset.leaves = Date.now() + (row.matches(".refused, .unclear") ? STAYS_REFUSED : STAYS);
    }
  }

  function keepGone(row) {
    row.classList.add("gone");
    row.dataset.leaves ||= Date.now();
  }

  // Says in an open panel that its wait ended meanwhile; what was typed stays to be copied.
  async function sayEnded(holder) {
    const panel = $(".panel", holder);
    if (panel.dataset.ended || $(".htmx-request", holder) || panel.matches(".htmx-request")) return;
    panel.dataset.ended = "yes";
    const note = document.createElement("p");
    note.className = "note refused";
    note.setAttribute("role", "alert");
    note.textContent = "This wait is over; somebody or something was faster. Nothing was sent from here.";
    for (const button of all("button", panel)) button.disabled = true;
    panel.prepend(note);
    const close = $("[data-cancel]", panel);
    if (close) close.textContent = "Close";
    try {
      const answer = await fetch(close.getAttribute("hx-get"), { headers: { "HX-Request": "true" } });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const how = $(".result", page)?.firstChild?.nodeValue?.trim();
      if (how) note.textContent = `This wait is over: ${how.replace(/\.$/, "")}. Nothing was sent from here.`;
    } catch {
      // The sentence above is true without the details.
    }
  }

  // --- Polls that disturb nobody ---------------------------------------------------------------------
  let polling = false;
  let anchor = null;

  const holdsPanel = (node) => node.matches?.(".row, .actions") && $(".panel", node);
  const isResult = (row) => row.matches(".row[data-leaves]:not(.gone)") && Number(row.dataset.leaves) > Date.now();

  // Whether a row that the board no longer lists stays for now.
  function stays(row) {
    if (holdsPanel(row)) sayEnded(row);
    else if (!isResult(row)) {
      if (!row.contains(document.activeElement) && !pointerIsOn(row.parentElement)) return false;
      keepGone(row);
    }
    return true;
  }

  // Gives the rows that stay a place in what is swapped in, each after the row that it stood after.
  function keepPlaces(target, fragment) {
    const rows = $(".rows", fragment);
    let before = null;
    for (const old of all(".rows > .row", target)) {
      let fresh = rows && fragment.getElementById(old.id);
      if (rows && !fresh && stays(old)) {
        fresh = document.createElement("li");
        fresh.id = old.id;
        fresh.dataset.keep = "";
        if (before) before.after(fresh);
        else rows.prepend(fresh);
      }
      before = fresh || before;
    }
  }

  function keepsAsItIs(old, fresh) {
    if (fresh.nodeType !== 1) return false;
    if ("keep" in fresh.dataset) return true;
    if (holdsPanel(old)) return !$(".panel", fresh);
    if (old.matches("time[data-for], time[data-left]")) return old.dateTime === fresh.dateTime;
    if (old.matches(".actions")) return Boolean($(".note", old)); // what came of an action
    return old.matches(".row") && isResult(old);
  }

  function install() {
    Object.assign(Idiomorph.defaults.callbacks, {
      beforeNodeMorphed: (old, fresh) => old.nodeType !== 1 || !(old.dataset && keepsAsItIs(old, fresh)),
      beforeAttributeUpdated: (name) => name !== "open", // of a menu that somebody opened
    });
    htmx.defineExtension("morph", {
      isInlineSwap: (style) => style === "morph",
      handleSwap(style, target, fragment) {
        if (style !== "morph") return false;
        if (polling) keepPlaces(target, fragment);
        return Idiomorph.morph(target, fragment.children, { morphStyle: "outerHTML" });
      },
    });
  }

  // Rows that come or go above the one in use must not move it.
  function holdStill() {
    const row = document.activeElement?.closest?.(".row") || (Date.now() - moved < RESTLESS && $(".row:hover"));
    anchor = row ? { row, top: row.getBoundingClientRect().top } : null;
  }

  function settle() {
    if (!anchor?.row.isConnected) return;
    const shift = anchor.row.getBoundingClientRect().top - anchor.top;
    if (shift) scrollBy({ top: shift, behavior: "instant" });
    anchor = null;
  }

  on("htmx:beforeSwap", (event) => {
    polling = isPoll(event);
    if (polling) holdStill();
  });
  on("htmx:afterSwap", (event) => {
    if (polling) settle();
    polling = false;
    showTheme();
    const state = $("#wait-body")?.dataset.state;
    const actions = $("#wait-actions");
    if (state && state !== "waiting" && actions && holdsPanel(actions) && isPoll(event)) sayEnded(actions);
    refocus(event);
  });

  // After a panel closed or an action was done the focus stands on its row again.
  function refocus(event) {
    const target = event.detail.target;
    if (document.activeElement !== document.body || !target?.id) return;
    if (target.matches(".row")) document.getElementById(target.id)?.focus({ preventScroll: true });
    if (target.matches("#wait-actions")) $("#wait-actions a")?.focus({ preventScroll: true });
  }

  // On a wait's page the rest of the page follows at once what was done to it.
  on("htmx:afterSettle", (event) => {
    timeResults(); // htmx gives a swapped element its own class only now
    const verb = event.detail.requestConfig?.verb;
    if (verb === "post" && event.detail.target.id === "wait-actions" && $("#poll")) {
      htmx.trigger("#poll", "waitdesk:look");
    }
  });

  // --- Freshness and silence -------------------------------------------------------------------------
  on("waitdesk:seen", (event) => {
    for (const place of all("[data-cluster]")) {
      const seen = event.detail[place.dataset.cluster];
      const time = $("time", place);
      if (typeof seen === "string" && time) time.dateTime = seen;
    }
    tick();
  });

  let silentSince = null;

  function warn(text) {
    const banner = $("#banner");
    banner.textContent = text;
    banner.hidden = !text;
  }

  const clock = (moment) => `${two(moment.getHours())}:${two(moment.getMinutes())}`;

  function pollFailed(status) {
    silentSince ||= new Date();
    const does = status ? `answers with an error (${status})` : "does not answer";
    warn(`Waitdesk ${does} since ${clock(silentSince)}; what you see may be old. It keeps trying.`);
  }

  on("htmx:afterRequest", (event) => {
    if (!isPoll(event) || !event.detail.successful) return;
    noteClock(event.detail.xhr);
    if (silentSince) warn("");
    silentSince = null;
  });

  // Said where the person acted, in words; htmx itself swaps no error pages.
  function complain(event, text) {
    const place = event.detail.elt?.closest?.(".row, #wait-actions");
    if (!place) {
      warn(text);
      return;
    }
    const note = document.createElement("p");
    note.className = "note refused";
    note.setAttribute("role", "alert");
    note.textContent = text;
    const home = $(".panel", place) || place;
    for (const old of all(":scope > .note.said", home)) old.remove();
    note.classList.add("said");
    home.append(note);
  }

  // After a login in another tab a form's token is an old one; its panel asked for again holds a new one.
  async function renewToken(panel) {
    const answer = await fetch(panel.action, { headers: { "HX-Request": "true" } });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const token = $("[name=csrfmiddlewaretoken]", page);
    if (token) $("[name=csrfmiddlewaretoken]", panel).value = token.value;
  }

  function failureText(status, posted) {
    if (status === 403) return "Waitdesk refused this and did nothing: your session or your rights have changed. Try again, or reload the page.";
    if (status === 404) return "Waitdesk no longer knows this wait. Reload the page.";
    const what = status ? `had an error (${status})` : "does not answer";
    if (!posted) return `Waitdesk ${what}. Try again in a moment.`;
    return `Waitdesk ${what}. Nobody can say from here whether it was done: reload the page before you repeat it.`;
  }

  for (const name of ["htmx:sendError", "htmx:timeout", "htmx:responseError"]) {
    on(name, (event) => {
      const status = name === "htmx:responseError" ? event.detail.xhr.status : 0;
      if (isPoll(event)) pollFailed(status);
      else complain(event, failureText(status, event.detail.requestConfig?.verb === "post"));
      if (status === 403 && event.detail.elt.matches(".panel")) renewToken(event.detail.elt);
    });
  }

  on("htmx:configRequest", (event) => {
    const { elt, parameters } = event.detail;
    if (elt.id === "poll") event.detail.timeout = POLL_TIMEOUT;
    if (elt.id === "filters") {
      for (const [name, value] of Object.entries({ ...parameters })) {
        if (value === "" || (name === "sort" && value === "oldest")) delete parameters[name];
      }
    }
  });

  // A session that ended must not take what somebody is typing with it.
  on("htmx:beforeOnLoad", (event) => {
    if (!event.detail.xhr.getResponseHeader("HX-Redirect") || !typed()) return;
    event.preventDefault();
    warn("Your session has ended. Log in again in another tab; what you typed here stays.");
  });

  const typed = () => [...all(".panel :is(textarea, input:not([type=hidden]))")].some((f) => f.value !== f.defaultValue);

  // --- Copying ---------------------------------------------------------------------------------------
  async function copy(button) {
    const source = button.dataset.copy ? document.getElementById(button.dataset.copy) : button.previousSibling;
    const text = source.textContent;
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      copyBySelection(source);
    }
    button.classList.add("copied");
    say("Copied");
    setTimeout(() => button.classList.remove("copied"), 1500);
  }

  // Browsers give the clipboard to https and localhost only.
  function copyBySelection(source) {
    const selection = getSelection();
    selection.selectAllChildren(source);
    document.execCommand("copy");
    selection.removeAllRanges();
  }

  // --- Theme -----------------------------------------------------------------------------------------
  function chooseTheme(theme) {
    const root = document.documentElement;
    if (theme === "system") delete root.dataset.theme;
    else root.dataset.theme = theme;
    try {
      if (theme === "system") localStorage.removeItem("waitdesk:theme");
      else localStorage.setItem("waitdesk:theme", theme);
    } catch {
      // It holds for this page then.
    }
    showTheme();
  }

  function showTheme() {
    const now = document.documentElement.dataset.theme || "system";
    for (const button of all("[data-theme-choice]")) {
      button.setAttribute("aria-pressed", String(button.dataset.themeChoice === now));
    }
  }

  // --- Clicks ----------------------------------------------------------------------------------------
  on("click", (event) => {
    const button = event.target.closest("button");
    if (button?.matches(".copy")) copy(button);
    if (button?.dataset.themeChoice) chooseTheme(button.dataset.themeChoice);
    if (button && "help" in button.dataset) $("#help").showModal();
    for (const menu of all("[data-menu][open]")) {
      if (!menu.contains(event.target) || button?.matches("[data-help]")) menu.open = false;
    }
  });

  // What is cut short tells itself to who points at it; in the HTML it would stand twice.
  on("pointerover", ({ target }) => {
    if (target.scrollWidth > target.clientWidth && !target.title && target.matches(".row :is(code, p, a, .place)")) {
      target.title = target.textContent.trim().slice(0, 400);
    }
  });

  // --- Keys ------------------------------------------------------------------------------------------
  const current = () => document.activeElement?.closest?.(".row");
  const place = () => current() || $("#wait-actions");

  function step(by) {
    const rows = [...all(".rows > .row")];
    const at = rows.indexOf(current());
    const row = at < 0 ? rows[by > 0 ? 0 : rows.length - 1] : rows[at + by];
    row?.focus({ preventScroll: true });
    row?.scrollIntoView({ block: "nearest" });
  }

  function openPanel(verb) {
    const panel = $(`.panel[action$="/${verb}/"]`, place());
    if (panel) $("[autofocus]", panel)?.focus();
    else $(`.acts a[href$="/${verb}/"]`, place() || document.createElement("i"))?.click();
  }

  const KEYS = {
    "/": () => $("#search")?.focus(),
    j: () => step(1),
    k: () => step(-1),
    r: () => openPanel("resume"),
    s: () => openPanel("stop"),
    c: () => ($(".copy", current() || $(".wait-head") || document.createElement("i")))?.click(),
    "?": () => $("#help").showModal(),
    Enter: () => document.activeElement.matches(".row") && $(".where a", current()).click(),
  };

  function escape() {
    const menu = $("[data-menu][open]");
    if (menu) {
      menu.open = false;
      $("summary", menu).focus();
      return;
    }
    const panel = document.activeElement?.closest?.(".panel") || $(".panel", place() || undefined);
    if (panel) $("[data-cancel]", panel)?.click();
    else document.activeElement?.blur?.();
  }

  on("keydown", (event) => {
    if (event.defaultPrevented || $("dialog[open]")) return;
    if (event.key === "Escape") {
      escape();
      return;
    }
    const panel = event.target.closest?.(".panel");
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && panel) {
      event.preventDefault();
      const button = $(".bar button", panel);
      if (button && !button.disabled) panel.requestSubmit(button);
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.matches?.("input, textarea, select")) return;
    const act = KEYS[event.key];
    if (!act || (event.key === "Enter" && !event.target.matches?.(".row"))) return;
    event.preventDefault();
    act();
  });

  // A page that comes back to the front looks at once.
  on("visibilitychange", () => {
    if (!document.hidden && $("#poll")) htmx.trigger("#poll", "waitdesk:look");
  });

  install();
  showTheme();
  timeResults();
  setInterval(tick, 1000);
})();
