/** How a request asks what it would do, and how that is answered; without schemas, since every client needs it. */

/** With this header, of any value, a request changes nothing and is answered with what it would do. */
export const WHAT_IF_HEADER = 'stead-what-if'
/** Carries the token of what the client has seen, where the cluster's policy demands it. */
export const FORESEEN_HEADER = 'stead-foreseen'
export const FORESIGHT_MEDIA_TYPE = 'application/vnd.stead.foresight+json'
