/** What is built out of the translations: compiled catalogues, and polkit's policy in every language. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { compileMo } from './po.mjs';
import { DOMAIN, locales, readCatalogue } from './po-catalogues.mjs';
import { POLICY_FILE } from './po-extract.mjs';

/** Writes `LOCALE/LC_MESSAGES/gpu-handoff.mo` for each language below a folder, as gettext looks for them. */
export function installTranslations(root, folder) {
  for (const locale of locales(root)) {
    const file = join(folder, locale, 'LC_MESSAGES', `${DOMAIN}.mo`);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, compileMo(readCatalogue(root, locale)));
  }
}

const escapeXml = (text) => text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;');

/** polkit's policy with each description and message in every language. */
export function translatedPolicy(root) {
  const catalogues = locales(root).map((locale) => {
    const { messages } = readCatalogue(root, locale);
    return [locale, new Map(messages.map((one) => [escapeXml(one.id), one.texts[0] ?? '']))];
  });
  const xml = readFileSync(join(root, POLICY_FILE), 'utf8');
  return xml.replace(/^( *)<(description|message)>([^<]*)<\/\2>\n/gm, (line, indent, tag, text) => {
    const more = catalogues
      .filter(([, texts]) => (texts.get(text) ?? '') !== '')
      .map(
        ([locale, texts]) => `${indent}<${tag} xml:lang="${locale}">${escapeXml(texts.get(text))}</${tag}>\n`,
      );
    return line + more.join('');
  });
}
