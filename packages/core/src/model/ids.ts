/** Branded identifiers: a host's id can never be passed where a guest's is wanted. */
declare const brand: unique symbol
export type Branded<Name extends string> = string & { readonly [brand]: Name }

/** A host's id is its name, chosen when it joins and never changed (a DNS label). */
export type HostId = Branded<'HostId'>
/** UUID. */
export type GuestId = Branded<'GuestId'>
/** UUID without dashes, since it becomes part of NBD export names and node names. */
export type VolumeId = Branded<'VolumeId'>
/** UUID. */
export type OperationId = Branded<'OperationId'>
/** `sha256:` and 64 hexadecimal digits: the content of a kernel, an initrd or an image. */
export type BlobId = Branded<'BlobId'>
