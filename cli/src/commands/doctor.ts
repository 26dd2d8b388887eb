/** `gpu-handoff doctor`: what a hand-off needs, each thing checked, with what to do about the rest. */
import { type Context, type ExitStatus, writeJson } from '../context.js';
import { diagnose } from '../doctor/diagnose.js';
import { renderDoctor } from '../render/doctor.js';

export async function doctor(context: Context): Promise<ExitStatus> {
  const document = await diagnose(context);
  if (context.options.json) writeJson(context, document);
  else context.out.write(renderDoctor(context.out.paper, document));
  const bad = document.groups.some((group) =>
    group.checks.some((check) => check.result === 'missing' || check.result === 'differs'),
  );
  return bad ? 1 : 0;
}
