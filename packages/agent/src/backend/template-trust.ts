/** Whether the cluster takes an archive as a template, by who has signed it. What was signed is looked at when the archive is read. */
import { failure } from '@stead/core/errors.ts'
import type { ClusterPolicy } from '@stead/core/model/cluster-policy.ts'
import type { TemplateSignature } from '@stead/core/model/image-import.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import { parseSshSignature, TEMPLATE_PURPOSE } from '../images/ssh-signature.ts'

export function trustedSignature(
  { templateKeys = {}, templateSignatures = 'optional' }: ClusterPolicy,
  text: string | undefined,
): Result<TemplateSignature | undefined> {
  if (text === undefined && templateSignatures === 'optional') return ok(undefined)
  if (text === undefined)
    return fail(
      failure('invalid_image', 'The cluster takes no archive without a signature', {
        hint: 'Give --signature FILE; `stead template key list` shows whose are trusted',
      }),
    )
  const signature = parseSshSignature(text)
  if (!signature.ok) return signature
  const { key, purpose } = signature.value
  if (purpose !== TEMPLATE_PURPOSE)
    return fail(
      failure('invalid_image', `The signature is for ${JSON.stringify(purpose)}, not for ${TEMPLATE_PURPOSE}`, {
        hint: `Sign it by \`ssh-keygen -Y sign -n ${TEMPLATE_PURPOSE} -f KEY FILE\``,
      }),
    )
  const by = Object.keys(templateKeys).find((name) => templateKeys[name] === key)
  if (by !== undefined) return ok({ by, text })
  return fail(
    failure('invalid_image', `The signature is by a key that is not trusted here: ${key}`, {
      hint: 'Who may change the policy trusts a key: `stead template key add NAME FILE.pub`',
    }),
  )
}
