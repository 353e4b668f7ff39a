/** Lets a file pass through and ends with an error unless its content has the promised digest. */
import { createHash } from 'node:crypto'
import { Transform, type TransformCallback } from 'node:stream'
import { failure, FailureError } from '@stead/core/errors.ts'

/** Message of the error by which an upload ends whose client went away. */
export const CLIENT_GONE = 'The client went away in the middle of the upload'

/** Without a digest only the size is checked. */
export function digestCheck(digest: string | undefined, bytesMax: number): Transform {
  const hash = createHash('sha256')
  let bytes = 0
  return new Transform({
    transform(chunk: Buffer, _encoding, done: TransformCallback) {
      bytes += chunk.length
      if (bytes > bytesMax)
        return done(new FailureError(failure('bad_request', `The file is larger than ${bytesMax} bytes`)))
      hash.update(chunk)
      done(null, chunk)
    },
    flush(done: TransformCallback) {
      const found = `sha256:${hash.digest('hex')}`
      if (digest === undefined || found === digest) return done()
      const message = `The upload's content has the digest ${found}, not ${digest}`
      done(
        new FailureError(
          failure('bad_request', message, { hint: 'The file changed or was damaged on the way; upload it again.' }),
        ),
      )
    },
  })
}
