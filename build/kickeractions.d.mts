/** The text of gpu-handoff.desktop. `root` is the repository. */
export function kickerActions(root: string): Promise<string>;
