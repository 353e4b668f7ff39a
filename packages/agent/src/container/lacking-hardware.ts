/** What a virtual machine has and a container has not: asked for, it says what there is instead. */
import { failure } from '@stead/core/errors.ts'
import { fail, type Result } from '@stead/core/result.ts'

export async function limitDisk(): Promise<Result<void>> {
  return fail(
    failure('bad_request', "a container's disks are limited by its own limits", {
      hint: '`stead ct set NAME --limit iolimit=10M --limit iopslimit=500`',
    }),
  )
}

export async function setBalloon(): Promise<Result<void>> {
  return fail(failure('bad_request', 'a container has no balloon: its memory is a limit, which changes at once'))
}

export async function changeMedium(): Promise<Result<void>> {
  return fail(failure('not_found', 'a container has no CD drive'))
}
