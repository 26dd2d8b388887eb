/**
 * “Run on dGPU” in every language of the project, for the action in an app’s own menu and in Plasma’s launcher. A
 * .desktop file carries all of them, since it is read by launchers that know nothing of this project’s translations.
 */
export const RUN_ON_DGPU: Readonly<Record<string, string>> = {
  '': 'Run on dGPU',
  de: 'Auf der dGPU ausführen',
  es: 'Ejecutar en la dGPU',
  fr: 'Exécuter sur le dGPU',
  pl: 'Uruchom na dGPU',
  pt_BR: 'Executar na dGPU',
  zh_CN: '在独立显卡上运行',
};
