/** The nonce that the agent has put into this page: styles that scripts write need it. Empty where it is developed. */
export function pageNonce(): string {
  return document.querySelector<HTMLMetaElement>('meta[property="csp-nonce"]')?.nonce ?? ''
}
