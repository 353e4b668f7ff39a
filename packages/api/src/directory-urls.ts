/** The addresses of a directory as people write them: separated by commas or blanks, and by name alone with TLS. */
export function directoryUrls(text: string): string[] {
  return text
    .split(/[\s,]+/)
    .filter(Boolean)
    .map((each) => (each.includes('://') ? each : `ldaps://${each}`))
}
