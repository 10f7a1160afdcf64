"""The readers of xls, xlsb and ods, which run in a process of their own, with a memory limit.

They import nothing from the rest of the package, not even by its name: that would load pandas, which takes longer than
reading most files. So the process has the folder above in its path, and these modules import each other relatively.
"""
