import { Button, Tooltip, type ButtonProps } from '@mantine/core'
import type { ReactNode } from 'react'
import type { TextKey } from '../i18n/language.ts'
import { useText } from '../i18n/texts.ts'

export interface RefusableButtonProps extends ButtonProps {
  readonly children: ReactNode
  /** Why it would be refused: the button stays, says so, and does nothing. */
  readonly obstacle: TextKey | undefined
  readonly onClick: () => void
}

export function RefusableButton({ obstacle, onClick, children, ...look }: RefusableButtonProps) {
  const t = useText()
  const isRefused = obstacle !== undefined
  return (
    <Tooltip label={isRefused ? t(obstacle) : ''} disabled={!isRefused} multiline maw={280}>
      <Button
        {...look}
        // Not `disabled`: the reason must be reached by the keyboard as well.
        data-disabled={isRefused || undefined}
        aria-disabled={isRefused}
        aria-description={isRefused ? t(obstacle) : undefined}
        onClick={() => (isRefused ? undefined : onClick())}
      >
        {children}
      </Button>
    </Tooltip>
  )
}
