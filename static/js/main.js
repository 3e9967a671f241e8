// Starts what every page has; each module listens on the document, so fragments that come later need no wiring.
import { startAges } from "./age.js";
import { startAuthorize } from "./authorize.js";
import { startCards } from "./card.js";
import { startDialogs } from "./dialogs.js";
import { startKeys } from "./keys.js";
import { startKill } from "./kill.js";
import { startPages } from "./pages.js";
import { startPanel } from "./panel.js";
import { startKiteSettings } from "./settings.js";
import { startTicket } from "./ticket.js";

startAges();
startDialogs();
startKill();
startCards();
startTicket();
startPanel();
startKeys();
startPages();
startAuthorize();
startKiteSettings();
document.documentElement.dataset.ready = "yes";
