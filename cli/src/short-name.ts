import type { HolderDocument } from './documents.js';

/** The name of a holder as people say it: `Blender`, `nvidia-persistenced`. */
export function shortName(holder: HolderDocument): string {
  const { ownerKind, ownerName, process } = holder;
  if (ownerKind === 'service' || ownerKind === 'user-service') return ownerName.replace(/\.service$/, '');
  // Applications are named by reversed domain names; the last part is what stands on the icon.
  if (ownerKind === 'app') return /^[\w-]+(\.[\w-]+){2,}$/.test(ownerName) ? lastPart(ownerName) : ownerName;
  return process || ownerName;
}

function lastPart(name: string): string {
  return name.slice(name.lastIndexOf('.') + 1);
}
