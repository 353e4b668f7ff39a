/** Which ids of the host a container's users and groups are. */
import { failure } from '@stead/core/errors.ts'
import { IDS_PER_CONTAINER } from '@stead/core/model/container.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'

/** Below are the host's own users; systemd hands out to 65,519 and its containers begin at 524,288. */
const ID_BASE_MIN = 100_000
/** The kernel keeps the highest id for "none". */
const ID_BASE_MAX = 2 ** 32 - 1 - IDS_PER_CONTAINER

/** LXC's lines for the id map; none for a privileged container, whose root is the host's. */
export function idMapLines(idBase: number | 'privileged'): Result<readonly string[]> {
  if (idBase === 'privileged') return ok([])
  if (!Number.isInteger(idBase) || idBase < ID_BASE_MIN || idBase > ID_BASE_MAX) {
    return fail(
      failure('bad_request', `User ids from ${idBase} on cannot be a container's`, {
        hint: `The first must be between ${ID_BASE_MIN} and ${ID_BASE_MAX}`,
      }),
    )
  }
  return ok(['u', 'g'].map((kind) => `lxc.idmap = ${kind} 0 ${idBase} ${IDS_PER_CONTAINER}`))
}
