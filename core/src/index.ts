/** What the desktops load: rules and words, nothing that touches a machine. Bundled as ES2016 for Qt's engine. */
export { DEFAULT_CONFIG, readConfig } from './config.js';
export { introspectionXml, MANAGER, METHODS, POWERS, PROPERTIES, polkitAction } from './contract.js';
export { groupHolders, sayMemory, toClose } from './desktop/holder-groups.js';
export { newsOf } from './desktop/news.js';
export { NOTHING_KNOWN, pictureOf } from './desktop/picture.js';
export { holdersFrom, machinesFrom, publishedFrom, sayTold } from './desktop/published.js';
export { offersToRun } from './desktop/run-offer.js';
export { cardsOf, detect, obstaclesOf } from './detect.js';
export { ERROR_PREFIX, FAILURES } from './errors.js';
export { countsSayFree, holderQuestion, nameHolder, nameHolders, ownerOf, reportHolders } from './holders.js';
export { planHandOff, planReturn, remember } from './plan.js';
export { preflight } from './preflight.js';
export { holdersLine, present } from './present.js';
export { translated } from './recognise.js';
export { SESSION, SESSION_METHODS, SESSION_PROPERTIES, sessionIntrospectionXml } from './session-contract.js';
export { viewOf } from './state.js';
export { printable, say, sentence, WORDS } from './words.js';
