/** What is used of noVNC, which brings no types; its document of the API says the rest. */
declare module '@novnc/novnc' {
  interface RfbEvents {
    connect: CustomEvent<undefined>
    disconnect: CustomEvent<{ readonly clean: boolean }>
  }

  export default class RFB {
    constructor(place: HTMLElement, channel: object, options?: { readonly shared?: boolean })
    scaleViewport: boolean
    showDotCursor: boolean
    background: string
    addEventListener<Name extends keyof RfbEvents>(name: Name, listener: (event: RfbEvents[Name]) => void): void
    disconnect(): void
    focus(): void
    /** `down` absent: pressed and let go. */
    sendKey(keysym: number, code: string, down?: boolean): void
    sendCtrlAltDel(): void
  }
}
